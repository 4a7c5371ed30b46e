"""What the entry points share: how a config is composed, and how an error reaches the user."""

from __future__ import annotations

import atexit
import gc
import os
import re
import shlex
import sys
import textwrap
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import hydra
from hydra._internal.hydra import Hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from ser.core import interrupts, jobs, paths, streams
from ser.core.errors import SerError, ser_error_behind
from ser.core.experiment import JobResult, explained, from_hydra
from ser.core.printable import guard, is_text, shown
from ser.core.words import COMPOSITION_ERRORS, as_hydra_reads


@streams.command
def run(config_name: str) -> None:
    """Compose the config of the command line and run it, once or for every job of a sweep.

    The text of each result is printed. A `SerError` is printed without a traceback; the exit code
    is 1. In a sweep the other jobs go on.

    Parameters
    ----------
    config_name : str
        Primary config in ``conf/``; the command has its name.
    """
    _refuse_bytes(sys.argv)
    paths.register_resolvers()
    _collect_garbage_less()
    OmegaConf.register_new_resolver("groups", _groups_help, use_cache=False, replace=True)

    def call(cfg: DictConfig) -> None:
        guard(sys.stdout, sys.stderr)  # a launcher's worker has its own
        interrupts.began.clear()  # of the sweep's job before
        result: JobResult | None = None
        try:
            code, result = 0, from_hydra(cfg, HydraConfig.get()).run()
            if result.text:
                code = streams.say(result.text)
            if jobs.under_way():
                jobs.record(run_id=result.run_id, skipped=result.skipped)
            elif code:
                sys.exit(code)
        except KeyboardInterrupt:
            if jobs.under_way():
                jobs.record(error=jobs.INTERRUPTED)
            if result is not None:
                streams.say(result.text)
            print(_interrupted(cfg, registered=result is not None), file=sys.stderr)
            sys.exit(streams.INTERRUPTED)
        except Exception as error:
            known = ser_error_behind(error)
            if jobs.under_way():  # the end of the sweep reports it, and sets the exit code
                jobs.record(error=str(known or f"{type(error).__name__}: {error}"))
                if known is None:
                    traceback.print_exc()
                return
            if known is None:
                raise
            sys.exit(str(known))

    sweeps = {"-m", "--multirun"} & set(sys.argv)
    sys.argv[1:] = [as_hydra_reads(word, is_sweep=bool(sweeps)) for word in sys.argv[1:]]
    os.environ["HYDRA_FULL_ERROR"] = "1"  # else Hydra prints what it cannot compose, and exits
    try:
        with _unasked_left_out(sys.argv[1:]):
            hydra.main(version_base="1.3", config_path=str(paths.CONF), config_name=config_name)(
                call
            )()
    except COMPOSITION_ERRORS as error:
        raise SerError(explained(error, sys.argv[1:], config_name)) from error


@contextmanager
def _unasked_left_out(words: Sequence[str]) -> Iterator[None]:
    """Spare Hydra a fifth of a second on what nobody can see.

    It composes a config only for its ``hydra.mode``, which of ``conf/`` recipes alone (experiment)
    may set; and for --help it lists the choices of all groups, which the help here does not show.
    """
    usual = {name: getattr(Hydra, name) for name in ("get_mode", "format_config_groups")}
    others = [word for word in words if word not in ("-h", "--help")]
    if all(re.match(r"(?!hydra|experiment)[\w.]+=", word) for word in others):
        Hydra.get_mode = lambda *_, **__: None  # type: ignore[method-assign]
        Hydra.format_config_groups = lambda *_, **__: ""  # type: ignore[method-assign]
    try:
        yield
    finally:
        for name, method in usual.items():
            setattr(Hydra, name, method)


def _interrupted(cfg: DictConfig, *, registered: bool) -> str:
    """How far it came, as far as is known; `registered` says whether ``register=`` is done."""
    sentences = ["Interrupted. What is extracted is kept;"]
    run, state = next(reversed(interrupts.began.items()), ("", ""))
    if not run:
        sentences.append("there is no run yet.")
    elif state == "RUNNING":
        sentences.append(f"run {run} could not be closed: python -m ser.doctor does it.")
    else:
        sentences.append(f"run {run} is marked {state}.")
    if state == "FINISHED" and cfg.get("register") is not None and not registered:
        name = shlex.quote(cfg.register)
        sentences.append(f"It is not registered: python -m ser.register {run} {name} does it.")
    if jobs.under_way() and "sweep" in cfg:
        sentences.append("The same command with sweep.resume=true does the jobs that are left.")
    return " ".join(sentences)


def _refuse_bytes(words: Sequence[str]) -> None:
    """End with a sentence where Hydra would say "LexerNoViableAltException"."""
    for word in words:
        if not is_text(word):
            sys.exit(
                f"{shown(word)} has bytes that are no UTF-8, as configs need. Rename the file."
            )


def _groups_help() -> str:
    """The groups that this entry point composes, in its order, for ``${groups:}`` in its help.

    Hydra's own ``$APP_CONFIG_GROUPS`` lists every folder of ``conf/``, other entry points' too.
    """
    from hydra.core.global_hydra import GlobalHydra

    loader = GlobalHydra.instance().config_loader()
    lines = []
    for group, chosen in reversed(HydraConfig.get().runtime.choices.items()):  # the last is first
        if group.startswith("hydra/") or "@" in group:
            continue
        choices = sorted(loader.get_group_options(group))
        listed = ", ".join(f"[{choice}]" if choice == chosen else choice for choice in choices)
        lines.append(
            textwrap.fill(listed, 98, initial_indent=f"  {group:14}", subsequent_indent=" " * 16)
        )
    return "\n".join(lines)


def _collect_garbage_less() -> None:
    """Save the collector two seconds of a run: it goes through every object of every import.

    What is imported stays until the end; then the system frees it at once.
    """
    gc.set_threshold(1_000_000, 20, 100)
    atexit.register(gc.freeze)
