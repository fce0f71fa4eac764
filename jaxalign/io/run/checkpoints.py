"""Checkpoints of a training run: the state, the position in the data, and proof that both are complete.

A checkpoint is a folder ``<directory>/<step>`` that Orbax writes in the background and renames into place once it is
complete; it holds ``state`` (arrays), ``data`` (the state of each process's data iterator, as JSON) and a manifest of
checksums. A folder that is incomplete or damaged is never read.
"""

import contextlib
import json
import pathlib
import shutil
import warnings
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp

from jaxalign.io.cluster import processes
from jaxalign.io.run.integrity import find_damage, write_manifest
from jaxalign.typing import Params

# Orbax adds these when it renames a folder into place, after the manifest was written.
_WRITTEN_LATER = ("_CHECKPOINT_METADATA", "commit_success.txt")


class Checkpoints:
    """The checkpoints in a folder; a context manager that waits at exit for what is being written.

    Every process of a run makes one and calls the same methods at the same steps.

    Args:
      directory: the folder.
      keep: how many of the newest checkpoints stay; None for all.
    """

    def __init__(self, directory: str | pathlib.Path, *, keep: int | None = 3):
        self.directory = pathlib.Path(directory).absolute()
        self._saving: int | None = None
        self._keep = keep
        self._manager = _manager(
            self.directory,
            cleanup_tmp_directories=True,
            async_options=ocp.options.AsyncOptions(post_finalization_callback=self._seal),
        )

    def __enter__(self) -> "Checkpoints":
        return self

    def __exit__(self, *exception):
        self.close()

    @property
    def steps(self) -> list[int]:
        """The steps of the complete checkpoints, ascending."""
        return sorted(self._manager.all_steps())

    def save(self, step: int, state: Any, data_state: Any):
        """Copies a state to the host and writes it in the background.

        Args:
          step: the number of the checkpoint.
          state: a pytree of arrays.
          data_state: the position of this process in the data, as JSON.

        Raises:
          OSError: this save could not start, or the one before it failed, for instance for a full disk. Checkpoints
            that were complete before stay.
        """
        json.dumps(data_state)  # what is not JSON is an error here, not in the background
        data = ocp.args.JsonSave({"processes": processes.gather(data_state)})
        self.wait()
        with self._explained():
            self._saving = step
            items = ocp.args.Composite(state=ocp.args.PyTreeSave(state), data=data)
            self._manager.save(step, args=items, force=True)  # by default Orbax skips a step that is not the newest

    def wait(self):
        """Returns when what was saved is on disk, and older checkpoints than those to keep are gone.

        Raises:
          OSError: the save failed.
        """
        with self._explained():
            self._manager.wait_until_finished()
        # Orbax would delete before the new one is there: a full disk would take an old checkpoint and give no new one.
        complete = [step for step in self.steps if (self.directory / str(step)).is_dir()]  # without one that failed
        for step in complete[: -self._keep] if self._keep else ():
            self._manager.delete(step)

    def newest(self) -> int | None:
        """The newest step whose checkpoint is complete; None where there is none.

        A damaged one is renamed to ``damaged-<step>`` and named in a warning.
        """
        chosen = processes.first(
            lambda: next((step for step in reversed(self.steps) if not self._set_aside(step)), None)
        )
        self._manager.reload()
        return chosen

    def restore(self, step: int, state: Any) -> tuple[Any, Any]:
        """Reads a checkpoint. A save under way is waited for.

        Args:
          step: the number of the checkpoint.
          state: arrays of the same shapes and types, whose layout the new ones get; their memory is freed first.

        Returns:
          The state, and the position of this process in the data.

        Raises:
          ValueError: the checkpoint is of a state with other arrays, or of a run with another number of processes whose
            data positions differ.
        """
        with self._explained():
            self._manager.wait_until_finished()
        folder = self.directory / str(step)
        _check_fits(self._manager.item_metadata(step)["state"].tree, state, folder)
        abstract = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=x.sharding), state)
        jax.tree.map(lambda x: x.delete(), state)
        arguments = ocp.args.PyTreeRestore(
            item=abstract, restore_args=ocp.checkpoint_utils.construct_restore_args(abstract)
        )
        items = self._manager.restore(step, args=ocp.args.Composite(state=arguments, data=ocp.args.JsonRestore()))
        return items.state, _position(items.data["processes"], folder)

    def discard_after(self, step: int):
        """Removes the checkpoints of later steps.

        Args:
          step: the last step whose checkpoint stays.
        """
        for later in [other for other in self.steps if other > step]:
            self._manager.delete(later)

    def close(self):
        """Waits for the save under way, then stops the background threads."""
        try:
            self.wait()
        finally:
            with contextlib.suppress(Exception):  # close would raise the error of the save once more
                self._manager.close()

    def _seal(self):
        """Adds the manifest; Orbax calls this when all files are written, before the folder gets its final name."""
        for folder in self.directory.glob(f"{self._saving}*"):
            if folder.name.partition(".")[0] == str(self._saving):
                write_manifest(folder, ignore=_WRITTEN_LATER)

    def _set_aside(self, step: int) -> bool:
        """Renames the checkpoint if it is damaged, so that it neither counts as kept nor blocks its step."""
        folder = self.directory / str(step)
        damage = find_damage(folder)
        if damage is None:
            return False
        aside = self.directory / f"damaged-{step}"
        shutil.rmtree(aside, ignore_errors=True)
        folder.rename(aside)
        warnings.warn(
            f"checkpoint {folder} is damaged ({damage}) and is not used; it is now {aside.name}", stacklevel=2
        )
        return True

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            free = shutil.disk_usage(self.directory).free / 2**20
            complete = ", ".join(str(step) for step in self.steps if step != self._saving) or "none"
            raise OSError(
                f"checkpoint {self._saving} could not be written to {self.directory} ({free:.0f} MiB free): "
                f"{_first_line(error)}. Complete checkpoints: {complete}. Free space or fix the cause, then start "
                "the same command again: it continues from the newest of them"
            ) from error


def load_params(directory: str | pathlib.Path, *, step: int | None = None) -> Params:
    """Returns the parameters in a folder of checkpoints, as numpy arrays in nested dictionaries.

    Args:
      directory: the folder of the checkpoints.
      step: which of them; None for the newest.

    Raises:
      FileNotFoundError: there is no such checkpoint.
      ValueError: it is damaged.
    """
    directory = pathlib.Path(directory).absolute()
    if not directory.is_dir():
        raise FileNotFoundError(f"{directory} is not a folder; expected one with checkpoints")
    with contextlib.closing(_manager(directory, read_only=True)) as manager:
        steps = sorted(manager.all_steps())
        step = step if step is not None or not steps else steps[-1]
        if step not in steps:
            raise FileNotFoundError(f"no checkpoint {step} in {directory}; there are {steps or 'none'}")
        damage = find_damage(directory / str(step))
        if damage:
            raise ValueError(f"checkpoint {directory / str(step)} is damaged: {damage}; choose a step from {steps}")
        params = {"params": manager.item_metadata(step)["state"].tree["params"]}
        as_numpy = jax.tree.map(lambda _: ocp.RestoreArgs(restore_type=np.ndarray), params)
        state = ocp.args.PyTreeRestore(item=params, restore_args=as_numpy, partial_restore=True)
        return manager.restore(step, args=ocp.args.Composite(state=state)).state["params"]


class _Manager(ocp.CheckpointManager):
    def reached_preemption(self, step: int) -> bool:
        """Left to the loop: JAX keeps one count of steps per process, and Orbax's background thread would reset it."""
        return False


def _manager(directory: pathlib.Path, **options) -> ocp.CheckpointManager:
    handlers = {"state": ocp.PyTreeCheckpointHandler(), "data": ocp.JsonCheckpointHandler()}
    return _Manager(directory, item_handlers=handlers, options=ocp.CheckpointManagerOptions(**options))


def _position(saved: list[Any], folder: pathlib.Path) -> Any:
    """This process's position in the data. One that all processes share suits any number of them.

    Streams of :mod:`jaxalign.data` are such: their position is the number of the next batch of all processes together.
    """
    if all(position == saved[0] for position in saved):
        return saved[0]
    if len(saved) != jax.process_count():
        raise ValueError(
            f"checkpoint {folder} holds different data positions for each of {len(saved)} processes; this run has "
            f"{jax.process_count()}: start it with {len(saved)}, or train on in a new directory"
        )
    return saved[jax.process_index()]


def _check_fits(saved: Any, like: Any, folder: pathlib.Path):
    there, here = _arrays(saved), _arrays(like)
    differences = [
        f"{name} is {there.get(name, 'absent')} there and {here.get(name, 'absent')} here"
        for name in sorted(there.keys() | here.keys())
        if there.get(name) != here.get(name)
    ]
    if differences:
        raise ValueError(
            f"checkpoint {folder} is of another state: {'; '.join(differences[:3])} ({len(differences)} differences). "
            "Run with the settings that it was made with, or in a new directory"
        )


def _arrays(tree: Any) -> dict[str, str]:
    return {
        jax.tree_util.keystr(path, simple=True, separator="/"): f"{np.dtype(leaf.dtype)}{list(leaf.shape)}"
        for path, leaf in jax.tree_util.tree_leaves_with_path(tree)
    }


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0] or type(error).__name__
