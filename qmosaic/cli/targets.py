"""Where a mosaic is written, as what, and how an interrupted job goes on."""

from __future__ import annotations

import contextlib
import shlex
import time
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import click
import xarray as xr

import qmosaic as qm
from qmosaic.cli.description import about, as_text, is_empty, state_of
from qmosaic.cli.errors import ARGUMENTS, Interrupted
from qmosaic.cli.reporting import report, rows, say
from qmosaic.cli.requests import open_images, whenever
from qmosaic.cli.stores import HALF, check_file, scheme_of, store_at
from qmosaic.cli.workers import ending_like_ctrl_c

SUFFIXES = {".zarr": "zarr", ".tif": "geotiff", ".tiff": "geotiff"}
ONLY_ZARR = {
    "resume": "--resume",
    "updatable": "--updatable",
    "levels": "--levels",
    "inputs": "--inputs",
    "period": "--period",
}


def kind_of(context: click.Context) -> str:
    """Tell as what the mosaic is written, and refuse what does not go with it.

    Raises
    ------
    click.UsageError
        The suffix tells nothing, or an option is for another kind.
    """
    out, options = context.params["out"], context.params
    half = HALF.match(out)
    if half:
        raise click.UsageError(
            f"--out {out}: this would be a folder {half[1] + ':'!r} here. Write "
            f"{half[1]}://{out[half.end() :]}.",
            context,
        )
    found = SUFFIXES.get(PurePosixPath(out.rstrip("/")).suffix.lower())
    if found is None and scheme_of(out):
        found = "zarr"
    if found is None:
        raise click.UsageError(
            f"--out {out}: nothing tells as what it is to be written. End it with .zarr (a store, "
            "which can be resumed and updated) or .tif (a Cloud Optimized GeoTIFF).",
            context,
        )
    if options["resume"] and options["overwrite"]:
        raise click.UsageError(
            "--resume goes on with what is there, --overwrite replaces it: give one of them.",
            context,
        )
    if found == "geotiff":
        _refuse_for_geotiff(context)
    return found


def _refuse_for_geotiff(context: click.Context) -> None:
    out = context.params["out"]
    if scheme_of(out):
        raise click.UsageError(
            f"--out {out}: a GeoTIFF is written to a path. Write it here and copy it, or end "
            "--out with .zarr.",
            context,
        )
    check_file(out, "--out", overwrite=True)  # `to_cog` knows all files that it would replace
    given = [name for key, name in ONLY_ZARR.items() if context.params.get(key)]
    if given:
        raise click.UsageError(
            f"{' and '.join(given)}: for Zarr alone, and {out} is a GeoTIFF. End --out with .zarr, "
            "or leave it out.",
            context,
        )


def is_there(out: str) -> bool:
    """Tell whether something is where a mosaic is to be written."""
    if not scheme_of(out):
        return Path(out).exists()
    with contextlib.suppress(Exception):  # whatever is wrong there, nothing is written now
        state_of(out)
        return True
    return False


def write(context: click.Context, mosaic: xr.Dataset, kind: str) -> None:
    """Compute a mosaic and write it, and tell what has been made.

    Parameters
    ----------
    context : click.Context
        The command.
    mosaic : xarray.Dataset
        The mosaic.
    kind : str
        What `kind_of` has told.
    """
    out, started = context.params["out"], time.perf_counter()
    if kind == "geotiff":
        written = _to_geotiff(mosaic, context.params)
        seconds = round(time.perf_counter() - started, 1)
        files = [str(path) for path in written]
        found: dict[str, Any] = {"files": files, "kind": "geotiff", "complete": True}
        found |= {"seconds": seconds} | told_if_empty(image_in(files[0]))
        report(context, found, rows({"written": "\n".join(files), "time": f"{seconds} s"}))
        return
    qm.to_zarr(mosaic, store_at(out), **_zarr_options(context.params))
    seconds = round(time.perf_counter() - started, 1)
    state = state_of(out)
    found = about(out, state) | {"seconds": seconds} | told_if_empty(state.mosaic)
    report(context, found, as_text(found) + f"\n{rows({'time': f'{seconds} s'})}")


def image_in(path: str) -> xr.Dataset | None:
    """Open a GeoTIFF that was written; None where it is not read as images are, as a map of one
    row: it is there all the same."""
    wanted = whenever({"source": (path,), "time": None, "pattern": None})
    with contextlib.suppress(OSError, ValueError, TypeError, KeyError):
        return open_images(wanted).isel(time=0, drop=True)
    return None


def told_if_empty(mosaic: xr.Dataset | None) -> dict[str, bool]:
    """Warn where a mosaic has no image at any pixel; say it for programs, too.

    A large map is not read again for that.
    """
    empty = None if mosaic is None else is_empty(mosaic)
    if empty:
        say("Warning: no pixel has an image.")
    return {} if empty is None else {"empty": empty}


def _to_geotiff(mosaic: xr.Dataset, options: Mapping[str, Any]) -> list[Any]:
    found = {name: value for name, value in coping(options).items() if name != "inputs"}
    found["overview_resampling"] = options["overview_resampling"]
    return list(qm.to_cog(mosaic, options["out"], overwrite=options["overwrite"], **found))


def _zarr_options(options: Mapping[str, Any]) -> dict[str, Any]:
    found = coping(options)
    found["mode"] = "resume" if options["resume"] else "w" if options["overwrite"] else "w-"
    found["updatable"] = options["updatable"]
    levels = options.get("levels")
    if levels is not None:
        found["levels"] = None if levels == "none" else levels
    if options["overview_resampling"] is not None:
        found["overview_resampling"] = options["overview_resampling"]
    return found


def coping(options: Mapping[str, Any]) -> dict[str, Any]:
    """Give what `to_zarr` and `update` both take."""
    return {
        "retries": options["retries"],
        "on_error": options["on_error"],
        "inputs": options["inputs"],
        "progress": False if options["quiet"] else None,
    }


# -- interruptions -------------------------------------------------------------------------------


@contextlib.contextmanager
def interruptible(context: click.Context, store: str) -> Iterator[None]:
    """Let Ctrl-C and SIGTERM end a job, and say by which command it goes on.

    Parameters
    ----------
    context : click.Context
        The command.
    store : str
        Where it writes.
    """
    with ending_like_ctrl_c():
        try:
            yield
        except KeyboardInterrupt:
            left = _left_in(store)
            raise Interrupted(left or "Nothing was written.", again(context, bool(left))) from None


def _left_in(store: str) -> str:
    """Say what an interruption has left of a mosaic; "" where it has left nothing new."""
    try:
        state = state_of(store)
    except Exception:  # nothing is there, or it is no Zarr
        return ""
    if state.complete:
        return ""
    of = "" if state.updating else f" of {state.blocks}"
    return f"{state.done}{of} blocks are in {store}, and stay there."


def again(context: click.Context, resume: bool) -> str:
    """Give the command that goes on: what was typed, with ``--resume`` where it is known."""
    typed = list(context.meta.get(ARGUMENTS, []))
    if resume and any(parameter.name == "resume" for parameter in context.command.params):
        typed = [part for part in typed if part not in ("--overwrite", "--resume")]
        place = typed.index("--") if "--" in typed else len(typed)
        typed.insert(place, "--resume")
    return shlex.join(["qmosaic", *typed])
