"""The training loop with everything around a step: checkpoints, metrics, time, signals, and the folder of a run.

    run.open_run(directory, config, experiment="mine")  # refuses a folder with a run of other settings
    state = run.fit(step, state, batches, key=key, num_steps=1000, directory=directory)
    params, rows = run.load_params(directory / "checkpoints"), run.read_metrics(directory)

Names load on first use.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    [
        "best",
        "checkpoints",
        "first_steps",
        "integrity",
        "loop",
        "metrics_log",
        "model_config",
        "progress",
        "run_folder",
        "signals",
        "spent",
        "timing",
        "writers",
    ],
    {
        "checkpoints": ["Checkpoints", "load_params"],
        "loop": ["fit"],
        "metrics_log": ["NotFiniteError"],
        "run_folder": ["open_run"],
        "writers": ["MetricsWriter", "read_metrics"],
    },
)
