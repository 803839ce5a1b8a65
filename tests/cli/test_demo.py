"""`qmosaic demo` on the real Sentinel-2 series: right pixels, a picture, true counts, no loss."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from click.testing import CliRunner

import qmosaic as qm
from qmosaic.cli import main
from qmosaic.cli.demo import CLEAR, best_pixels
from qmosaic.sources import samples

for package in ("netCDF4", "matplotlib", "nrt"):  # nrt carries the series, and is not imported
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"{package} is in the extra [demo]", allow_module_level=True)


def run(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(main, list(arguments))
    return result.exit_code, result.output


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """One run of the demo: its folder and what it printed."""
    out = tmp_path_factory.mktemp("demo") / "out"
    code, text = run("demo", "--out", str(out))
    assert code == 0, text
    return out, text


@pytest.fixture(scope="module")
def series() -> dict[str, np.ndarray]:
    """The real series in memory."""
    collection, _ = samples.sentinel2_romania()
    return {name: band.values for name, band in collection.data_vars.items()}


def opened(store: Path) -> xr.Dataset:
    return xr.open_zarr(store, consolidated=False, mask_and_scale=False)


def scored(series: dict[str, np.ndarray]) -> np.ndarray:
    """Give the NDVI of clear pixels, -inf elsewhere, by plain numpy."""
    red, nir = (series[band].astype("float32") for band in ("B4", "B8"))
    clear = np.isin(series["SCL"], CLEAR) & (red >= 100)
    with np.errstate(all="ignore"):
        return np.where(clear, (nir - red) / (nir + red), -np.inf)


def test_best_pixels_of_the_real_series(
    shown: tuple[Path, str], series: dict[str, np.ndarray]
) -> None:
    """Every pixel of every band is that of the greenest clear image, where an image that has won
    all within ten pixels counts as greener by a tenth; by a loop over pixels."""
    best = opened(shown[0] / "best.zarr").load()
    ndvi = scored(series)
    first = np.where(np.isfinite(ndvi).any(0), ndvi.argmax(0), -1)
    row, column = np.mgrid[:100, :100]
    for y in range(0, 100, 3):
        for x in range(0, 100, 3):
            near = first[((row - y) ** 2 + (column - x) ** 2 <= 100) & (first >= 0)].tolist()
            winner, highest = -1, -2.0
            for t in sorted(set(near)):
                score = float(ndvi[t, y, x]) + 0.1 * (near.count(t) / len(near))
                if score > highest:
                    winner, highest = t, score
            for band in ("B2", "B3", "B4", "B8", "SCL"):
                want = series[band][winner, y, x] if winner >= 0 else 0
                assert best[band].values[y, x] == want
    assert best["B4"].dtype == "uint16"


def test_best_pixels_come_in_pieces(shown: tuple[Path, str], series: dict[str, np.ndarray]) -> None:
    """Two thirds of the seams of the greenest pixels are gone, for hardly any green."""
    ndvi = scored(series)
    greenest = ndvi.argmax(0)
    best = opened(shown[0] / "best.zarr").load()
    taken = np.argmax(
        [(series["B8"] == best["B8"].values) & (series["B2"] == best["B2"].values)], 1
    )

    def seams(index: np.ndarray) -> int:
        return sum(np.count_nonzero(np.diff(index, axis=axis)) for axis in (0, 1))

    assert seams(taken[0]) < 0.37 * seams(greenest)
    assert ndvi.max(0).mean() - 0.003 < best["quality"].values.mean() < ndvi.max(0).mean()


def test_worst_pixels_are_clouds(shown: tuple[Path, str], series: dict[str, np.ndarray]) -> None:
    """The surest class of cloud at each pixel, and the first image that has it."""
    worst = opened(shown[0] / "worst.zarr").load()
    for y in range(0, 100, 7):
        for x in range(0, 100, 7):
            classes = list(series["SCL"][:, y, x])
            want = next(c for c in (9, 8, 10) if c in classes)
            assert worst["SCL"].values[y, x] == want
            assert worst["B2"].values[y, x] == series["B2"][classes.index(want), y, x]


def test_an_integer_score_of_the_real_series_in_chunks(series: dict[str, np.ndarray]) -> None:
    """Ties by the thousand (a scene class as score), first and last, against numpy's argmax."""
    collection, _ = samples.sentinel2_romania()
    scene = series["SCL"].astype("int64")
    for ties, index in (("first", scene.argmax(0)), ("last", 139 - scene[::-1].argmax(0))):
        mosaic = qm.quality_mosaic(collection, "SCL", ties=ties).compute()
        for band in ("B2", "B8"):
            want = np.take_along_axis(series[band], index[None], axis=0)[0]
            np.testing.assert_array_equal(mosaic[band].values, want)


def test_the_picture_shows_land_and_cloud(shown: tuple[Path, str]) -> None:
    """The left panel is dark and green, the right one bright and grey."""
    from matplotlib.image import imread

    picture = imread(shown[0] / "mosaic.png")[..., :3]
    height, width, _ = picture.shape
    assert width > 1400
    middle = slice(height // 3, 2 * height // 3)
    best = picture[middle, width // 10 : width // 4].mean(axis=(0, 1))
    worst = picture[middle, 7 * width // 10 : 9 * width // 10].mean(axis=(0, 1))
    assert best[1] > best[0] + 0.02
    assert best[1] > best[2] + 0.02
    assert worst.min() > best.max() + 0.2
    assert np.ptp(worst) < 0.1


def test_what_is_printed_was_counted(shown: tuple[Path, str]) -> None:
    """Chunks read and skipped add up; the quality's bands are read whole, others only in part."""
    match = re.search(r"read +(\d+) of (\d+) chunks, (\d+) never touched", shown[1])
    assert match
    read, chunks, skipped = (int(g) for g in match.groups())
    assert chunks == 140 * 4 * 5
    assert read + skipped == chunks
    # NDVI and scene class take three bands whole; of the other two only what won is read
    assert 140 * 4 * 3 < read < 140 * 4 * 4
    for part in ("140 Sentinel-2 images, 2015-08-01 to 2021-01-01", "100 × 100", "mosaic.png"):
        assert part in shown[1]


def test_what_is_printed(shown: tuple[Path, str]) -> None:
    """Every line but the time and the folder: images, chunks that were read, bytes."""
    lines = [line for line in shown[1].splitlines() if not line.startswith("time ")]
    assert lines[:4] == [
        "collection  140 Sentinel-2 images, 2015-08-01 to 2021-01-01",
        "map         100 × 100 pixels of 10 m; bands B2, B3, B4, B8, SCL (uint16)",
        "read        1936 of 2800 chunks, 864 never touched",
        "            16.5 MB for two mosaics of a collection of 14.0 MB",
    ]
    assert [line.split()[0] for line in lines[4:7]] == ["mosaics", "picture", "images"]
    assert lines[7].endswith("dates.png")


def test_the_dates_of_the_best_pixels(
    shown: tuple[Path, str], series: dict[str, np.ndarray]
) -> None:
    """The mosaic rebuilt of its `source_index` alone is the mosaic; what is printed of it is
    counted, and there is a picture of them."""
    best = qm.open_mosaic(shown[0] / "best.zarr", mask_and_scale=False).load()
    index = best["source_index"].values
    assert (index >= 0).all()
    for band in ("B2", "B3", "B4", "B8", "SCL"):
        want = np.take_along_axis(series[band], index[None].astype(int), axis=0)[0]
        np.testing.assert_array_equal(best[band], want)
    assert (shown[0] / "dates.png").stat().st_size > 20_000
    counts = np.bincount(index.ravel(), minlength=140)
    day = str(samples.sentinel2_romania()[0]["time"].values[counts.argmax()])[:10]
    told = f"from {(counts > 0).sum()} images, {counts.max() / index.size:.0%} of them from {day}\n"
    assert f"images      the best pixels are {told}" in shown[1]


def test_building_reads_nothing_of_the_file() -> None:
    """Rule 9, on the real file: the counter stays at zero."""
    collection, reads = samples.sentinel2_romania()
    best_pixels(collection)
    assert not reads.chunks


def test_an_earlier_run_is_kept(shown: tuple[Path, str]) -> None:
    """A second run refuses, and says how to go on; --overwrite replaces."""
    before = (shown[0] / "mosaic.png").stat().st_mtime_ns
    code, text = run("demo", "--out", str(shown[0]))
    assert code != 0
    assert "--overwrite" in text
    assert (shown[0] / "mosaic.png").stat().st_mtime_ns == before
    code, text = run("demo", "--out", str(shown[0]), "--overwrite")
    assert code == 0, text
    assert (shown[0] / "mosaic.png").stat().st_mtime_ns != before


@pytest.mark.parametrize("out", ["/proc/nope", "a file/within"])
def test_a_folder_that_cannot_be_made(out: str, tmp_path: Path) -> None:
    """One line that names it, no traceback."""
    (tmp_path / "a file").touch()
    code, text = run("demo", "--out", str(tmp_path / out))
    assert code == 1
    assert text.startswith("Error: the folder")
    assert text.count("\n") == 1
    assert "--out" in text


@pytest.mark.parametrize(
    ("raised", "code", "told"),
    [
        (KeyboardInterrupt("go on with mode='resume'"), 130, "Interrupted. go on"),
        (KeyboardInterrupt(), 130, "Interrupted."),
        (OSError(28, "no space left in 'best.zarr'"), 1, "Error: .*no space left in 'best.zarr'"),
    ],
)
def test_what_ends_the_demo_is_said_in_a_line(
    raised: BaseException, code: int, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C and a full disk: a line, and the exit code that shells expect; no traceback."""

    def end(*args: object, **options: object) -> None:
        raise raised

    monkeypatch.setattr(qm, "to_zarr", end)
    assert run("demo", "--out", str(tmp_path / "out"))[0] == code
    assert re.fullmatch(f"{told}\n|{told}.*\n", run("demo", "--out", str(tmp_path / "out"))[1])


@pytest.mark.parametrize("missing", ["matplotlib", "netCDF4", "nrt"])
def test_a_missing_package_is_named(
    missing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the extra the demo says what to install, and leaves nothing behind."""
    import importlib.metadata

    find, files = importlib.util.find_spec, importlib.metadata.files
    monkeypatch.setattr(importlib.util, "find_spec", lambda n: None if n == missing else find(n))
    monkeypatch.setattr(importlib.metadata, "files", lambda n: None if n == missing else files(n))
    code, text = run("demo", "--out", str(tmp_path / "out"))
    assert code != 0
    assert "pip install" in text
    assert missing in text
    assert not (tmp_path / "out").exists()


def test_version() -> None:
    """`qmosaic --version` tells the version of the package."""
    assert qm.__version__ in run("--version")[1]
