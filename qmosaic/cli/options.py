"""The options that commands share, in groups."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from qmosaic.cli.jobs import JOB, Argument
from qmosaic.cli.kinds import Box, ByBand, Memory, Names, Number, Numbers, Time, Whole
from qmosaic.cli.sections import option, together

SOURCE = "Source"
CHOICE = "Choosing images"
RULES = "The mosaic"
TARGET = "What is written"
PLACE = "Where it runs"
TALK = "Job and messages"

BANDS = Names()


def sources() -> Callable[[Any], Any]:
    """Make the argument SOURCE: one or more paths, URLs or patterns."""
    return click.argument("source", cls=Argument, nargs=-1, required=True, metavar="SOURCE...")


store: Callable[[Any], Any] = click.argument("store", cls=Argument, metavar="STORE")

reading = together(
    option(
        SOURCE,
        "--format",
        type=click.Choice(["zarr", "netcdf", "stac", "geotiff"]),
        help="What the source is; by default told by its suffix or content.",
    ),
    option(
        SOURCE,
        "--pattern",
        metavar="REGEX",
        help="GeoTIFFs: a regular expression searched for in each path, with the groups time, "
        "band and id: '_(?P<time>\\d{8})_(?P<band>B\\d\\d)\\.tif'.",
    ),
    option(
        SOURCE,
        "--time",
        metavar="TAG",
        help="GeoTIFFs: the tag with the time of an image; by default the date in the file's name.",
    ),
    option(
        SOURCE,
        "--group",
        metavar="NAME",
        help="Zarr and NetCDF: the group in the store or file.",
    ),
    option(
        SOURCE,
        "--groupby",
        type=click.Choice(["item", "solar_day"]),
        help="STAC: an item is an image, or all items of a day are one.",
    ),
    option(
        SOURCE,
        "--allow",
        multiple=True,
        metavar="ADDRESS",
        help="STAC: only open files whose address begins so; can be given several times.",
    ),
    option(SOURCE, "--crs", help="The CRS of the grid, such as EPSG:32633."),
    option(
        SOURCE,
        "--resolution",
        type=Numbers(1, 2, shown="a size such as 10, or down,across", above=0),
        metavar="SIZE",
        help="The size of a pixel in units of the CRS.",
    ),
    option(
        SOURCE,
        "--resampling",
        type=ByBand(number=False, shown="a method of GDAL, or SCL=nearest,*=bilinear"),
        metavar="METHOD",
        help="How images are brought onto the grid: nearest, bilinear, average ...; by band: "
        "'SCL=nearest,*=bilinear'.",
    ),
    option(
        SOURCE,
        "--nodata",
        type=ByBand(number=True, shown="a number, none, or B4=0,cloud=none"),
        metavar="VALUE",
        help="The nodata in place of the declared one; by band: B4=0,cloud=none.",
    ),
    option(
        SOURCE,
        "--missing",
        type=click.Choice(["raise", "mask"]),
        default="raise",
        show_default=True,
        help="What happens where an image lacks a band: an error, or it is masked there.",
    ),
    option(
        SOURCE,
        "--harmonize",
        type=click.Choice(["lossless", "wider", "earth_engine"]),
        default="lossless",
        show_default=True,
        help="How images that are packed differently are brought to one packing.",
    ),
    option(
        SOURCE,
        "--chunks",
        type=ByBand(number=True, shown="sizes by dimension: y=1024,x=1024", always=True),
        metavar="SIZES",
        help="Sizes of the chunks that are read, by dimension: y=1024,x=1024.",
    ),
)
"""How a source is read."""

choosing = together(
    option(
        CHOICE, "--start", type=Time(), metavar="TIME", help="The first time (UTC): 2020-05-01."
    ),
    option(
        CHOICE,
        "--end",
        type=Time(),
        metavar="TIME",
        help="The time before which images have to be.",
    ),
    option(
        CHOICE,
        "--bbox",
        type=Box(),
        metavar="W,S,E,N",
        help="A box in degrees: images that touch it, and the map cut to it.",
    ),
)
"""Which images, and which part of the map."""

clipping = option(
    CHOICE,
    "--clip",
    metavar="POLYGON.GEOJSON",
    help="A region: images that touch it; the mosaic is cut to it, and masked outside.",
)

bands = option(
    CHOICE,
    "--bands",
    type=BANDS,
    metavar="B4,B3,...",
    help="The bands that are delivered; by default all. Those that the quality needs are opened, "
    "too.",
)

QUALITY = (
    "The band or expression whose highest value wins: -MSK_CLDPRB, '(B8-B4)/(B8+B4)', "
    "'where(SCL in [4,5,6], ndvi, nan)'. Given several times, each decides among images that "
    "are equal in those before."
)

_quality_name = option(
    RULES,
    "--quality-name",
    default="quality",
    show_default=True,
    metavar="NAME",
    help="What the band is called that an expression makes.",
)

scoring = together(
    option(RULES, "--quality", multiple=True, required=True, metavar="EXPR", help=QUALITY),
    _quality_name,
)
"""What orders the images."""

scoring_again = together(
    option(
        RULES,
        "--quality",
        multiple=True,
        metavar="EXPR",
        help=f"{QUALITY} By default what the store says that its quality was made of.",
    ),
    _quality_name,
)
"""What ordered the images of a mosaic that is there."""

rules = together(
    option(
        RULES,
        "--no-quality",
        is_flag=True,
        help="Leave the quality out of the mosaic.",
    ),
    option(
        RULES,
        "--ties",
        type=click.Choice(["first", "last"]),
        default="first",
        show_default=True,
        help="Which of several best images wins.",
    ),
    option(
        RULES,
        "--masked",
        type=click.Choice(["keep", "skip", "fill"]),
        default="keep",
        show_default=True,
        help="What becomes of a band that is masked in the best image: it stays so, such an image "
        "is no candidate, or the band is taken from the next image.",
    ),
    option(
        RULES,
        "--fill-value",
        type=Number(),
        metavar="VALUE",
        help="What a masked pixel gets in an integer band that declares no nodata.",
    ),
    option(
        RULES, "--min-quality", type=Number(), metavar="SCORE", help="The lowest score that counts."
    ),
    option(
        RULES,
        "--upper-bound",
        type=Number(),
        metavar="SCORE",
        help="The score that nothing can beat: a block that has it looks no further.",
    ),
    option(
        RULES,
        "--within",
        type=Number(),
        metavar="DISTANCE",
        help="Take all images whose score is so close to the best, and reduce them.",
    ),
    option(
        RULES,
        "--reducer",
        type=Number("median", "mean"),
        default="median",
        show_default=True,
        metavar="REDUCER",
        help="With --within: median, mean or a percentile from 0 to 100.",
    ),
    option(
        RULES,
        "--period",
        metavar="OFFSET",
        help="A mosaic for each period: MS (months), QS-DEC (seasons), YS (years), 10D.",
    ),
    option(
        RULES,
        "--rolling",
        metavar="OFFSET",
        help="With --period: the length of a window of time, 3MS, or a number of periods.",
    ),
    option(
        RULES,
        "--empty",
        type=click.Choice(["mask", "drop"]),
        default="mask",
        show_default=True,
        help="What becomes of a period without images.",
    ),
    option(
        RULES,
        "--smooth",
        type=Number(),
        metavar="METRES",
        help="Order images by the mean of the quality over so many metres.",
    ),
    option(
        RULES,
        "--scene-bonus",
        type=Number(),
        metavar="SCORE",
        help="Prefer images that win more of what lies around a pixel: larger pieces.",
    ),
    option(
        RULES,
        "--scene-radius",
        type=Number(),
        metavar="METRES",
        help="How far around --scene-bonus looks; by default ten pixels.",
    ),
    option(
        RULES,
        "--provenance",
        is_flag=True,
        help="Say of each pixel from which image it is, and how many candidates it had.",
    ),
    option(
        RULES,
        "--provenance-names",
        type=BANDS,
        metavar="NAME,...",
        help="The same by name: source_index, source_time, valid_count, id, platform.",
    ),
)
"""The rules of a mosaic."""

writing = together(
    option(
        TARGET,
        "--updatable",
        is_flag=True,
        help="Zarr: `qmosaic update` can bring further images in. Needs --provenance.",
    ),
    option(
        TARGET,
        "--levels",
        type=Whole("auto", "none"),
        metavar="NUMBER",
        help="Zarr: how many overviews, each with pixels twice as large, or auto: maps and "
        "pictures then read no more than they show. By default none.",
    ),
    option(
        TARGET,
        "--overview-resampling",
        type=ByBand(number=False, shown="average, nearest, mode, or SCL=mode,*=average"),
        metavar="METHOD",
        help="How overviews are made: average, nearest or mode; by band: 'SCL=mode,*=average'.",
    ),
    option(TARGET, "--resume", is_flag=True, help="Go on with a mosaic that was interrupted."),
    option(TARGET, "--overwrite", is_flag=True, help="Replace what is there."),
)
"""How a mosaic is written."""

coping = together(
    option(
        TARGET,
        "--retries",
        type=int,
        default=3,
        show_default=True,
        metavar="NUMBER",
        help="How often a chunk that cannot be read is tried again.",
    ),
    option(
        TARGET,
        "--on-error",
        type=click.Choice(["raise", "skip"]),
        default="raise",
        show_default=True,
        help="What happens then: an error, or the image is left out there.",
    ),
    option(
        TARGET,
        "--inputs",
        metavar="NAME",
        help="A name for the images, for --resume where their addresses change.",
    ),
)
"""What happens where a chunk cannot be read, and how a job knows its images again."""

running = together(
    option(
        PLACE,
        "--scheduler",
        metavar="ADDRESS",
        help="Run on this cluster of dask: tcp://host:8786.",
    ),
    option(
        PLACE,
        "--workers",
        type=click.IntRange(min=1),
        metavar="N",
        help="Start so many worker processes here; by default threads of this one are used.",
    ),
    option(
        PLACE,
        "--memory",
        type=Memory(),
        metavar="SIZE",
        help="The memory of each worker: 4GB.",
    ),
    option(
        PLACE,
        "--threads",
        type=click.IntRange(min=1),
        metavar="N",
        help="The threads of each worker, or of this process.",
    ),
)
"""Where a job runs."""

for_programs = option(
    TALK,
    "--json",
    is_flag=True,
    expose_value=False,
    help="Print one JSON object on stdout, an error too; messages are on stderr.",
)

debug = option(
    TALK,
    "--debug",
    is_flag=True,
    expose_value=False,
    help="Show the traceback of an error.",
)

quiet = option(TALK, "--quiet", "-q", is_flag=True, help="No progress.")

talking = together(quiet, for_programs, debug)
"""What a command that computes prints."""

answering = together(for_programs, debug)
"""What a command that answers a question prints."""

job = together(*JOB)
"""A job in a file."""

LEFT_OUT = {
    "open_collection": {
        "packing": "a mapping of mappings, or a function",
        "geobox": "an object of Python; --crs, --resolution and --bbox say most of it",
        "properties": "what a command says of images, it says with id, platform and cloud_cover",
        "storage_options": "keys and endpoints are taken from the environment",
        "options": "what only one reader knows",
    },
    "quality_mosaic": {
        "collection": "SOURCE",
        "quality_band": "--quality",
        "dim": "an opened collection has its images along time",
    },
}
"""The parameters in Python that are no options, each with its reason."""
