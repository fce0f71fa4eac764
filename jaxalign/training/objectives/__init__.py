"""The losses that models are trained with: ``make_*(model, ...) -> loss_fn(params, batch, key)``, for any train step.

A loss function returns ``(loss, metrics)``, both as :class:`jaxalign.numerics.Ratio`, so that microbatches and shards
add up to the numbers of one batch. It binds what it needs by ``functools.partial`` over functions of a module, so that
two that were made alike can share a compiled step (:func:`jaxalign.training.train_step_maker`).
"""
