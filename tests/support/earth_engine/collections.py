"""Collections: lists of images; https://developers.google.com/earth-engine/apidocs, under
ee.ImageCollection."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.support.earth_engine.bands import Band, alike, constant, pixelwise
from tests.support.earth_engine.dates import DateRange
from tests.support.earth_engine.images import Image
from tests.support.earth_engine.reducers import Reducer
from tests.support.earth_engine.selecting import Filter
from tests.support.earth_engine.values import Dictionary, List, Number, plain, wrapped


class ImageCollection:
    """A list of images."""

    def __init__(self, images: Any) -> None:
        images = plain(images)
        if isinstance(images, ImageCollection):
            images = images.images
        images = getattr(images, "features", images)
        listed = images if isinstance(images, list) else [images]
        self.images: list[Image] = [Image(one) for one in listed]

    @staticmethod
    def fromImages(images: Any) -> ImageCollection:
        """Make a collection of images."""
        return ImageCollection(images)

    # -- fewer images, other images -----------------------------------------------------------

    def filter(self, filter: Any) -> ImageCollection:
        """Keep the images that meet a condition."""
        kept = []
        for image in self.images:
            grids = [band.grid for band in image.bands.values() if band.grid is not None]
            if filter.test({**image.properties, "grid": grids[0] if grids else None}):
                kept.append(image)
        return ImageCollection(kept)

    def filterDate(self, start: Any, end: Any = None) -> ImageCollection:
        """Keep images from a date on, before another."""
        if isinstance(start, DateRange):
            start, end = start.span
        return self.filter(Filter.date(start, end))

    def filterBounds(self, geometry: Any) -> ImageCollection:
        """Keep images that meet a region."""
        return self.filter(Filter.bounds(geometry))

    def filterMetadata(self, name: str, operator: str, value: Any) -> ImageCollection:
        """Keep images by a property."""
        names = {"equals": "eq", "not_equals": "neq", "less_than": "lt", "greater_than": "gt"}
        names |= {"not_greater_than": "lte", "not_less_than": "gte"}
        return self.filter(getattr(Filter, names[operator])(name, value))

    def sort(self, property: Any, ascending: bool = True) -> ImageCollection:
        """Order by a property; equals stay in their order."""
        places = range(len(self.images))
        sign = 1 if ascending else -1

        def before(a: int, b: int) -> bool:
            x, y = (self.images[i].properties[plain(property)] for i in (a, b))
            return x < y if sign == 1 else x > y

        order: list[int] = []
        for place in places:  # put each before the first that comes after it
            at = next((i for i, there in enumerate(order) if before(place, there)), len(order))
            order.insert(at, place)
        return ImageCollection([self.images[i] for i in order])

    def limit(self, maximum: Any, property: Any = None, ascending: bool = True) -> ImageCollection:
        """Keep the first ones."""
        ordered = self if property is None else self.sort(property, ascending)
        return ImageCollection(ordered.images[: plain(maximum)])

    def distinct(self, property: Any) -> ImageCollection:
        """Keep the first image of each value of a property."""
        seen: list[Any] = []
        kept = []
        for image in self.images:
            if image.properties[plain(property)] not in seen:
                seen.append(image.properties[plain(property)])
                kept.append(image)
        return ImageCollection(kept)

    def map(self, algorithm: Callable[[Image], Any], dropNulls: bool = False) -> ImageCollection:
        """Apply a function to each image."""
        made = [plain(algorithm(image)) for image in self.images]
        return ImageCollection([one for one in made if one is not None])

    def select(self, *selectors: Any, opt_names: Any = None) -> ImageCollection:
        """Choose bands."""
        return self.map(lambda image: image.select(*selectors, opt_names=opt_names))

    def merge(self, collection2: Any) -> ImageCollection:
        """Append another collection."""
        return ImageCollection([*self.images, *ImageCollection(collection2).images])

    def iterate(self, algorithm: Callable[[Image, Any], Any], first: Any) -> Any:
        """Apply a function to each image and what it gave for the one before."""
        for image in self.images:
            first = algorithm(image, wrapped(plain(first)))
        return wrapped(plain(first))

    def linkCollection(
        self,
        imageCollection: Any,
        linkedBands: Any = None,
        linkedProperties: Any = None,
        matchPropertyName: str = "system:index",
    ) -> ImageCollection:
        """Add what the images of another collection have."""
        given = (imageCollection.images, linkedBands, linkedProperties, matchPropertyName)
        return self.map(lambda image: linked(image, *given))

    def combine(self, secondary: Any, overwrite: bool = False) -> ImageCollection:
        """Add the bands of the image of the same index; images without one are left out."""
        others = {image.properties["system:index"]: image for image in secondary.images}
        return ImageCollection(
            [
                image.addBands(others[image.properties["system:index"]], None, overwrite)
                for image in self.images
                if image.properties["system:index"] in others
            ]
        )

    # -- what is no image ---------------------------------------------------------------------

    def first(self) -> Image:
        """Give the first image."""
        return self.images[0]

    def size(self) -> Number:
        """Count the images."""
        return Number(len(self.images))

    def toList(self, count: Any, offset: Any = 0) -> List:
        """List the images."""
        start = plain(offset)
        return List(self.images[start : start + plain(count)])

    def _known(self, property: Any) -> list[Any]:
        values = [image.properties.get(plain(property)) for image in self.images]
        return [value for value in values if value is not None]

    def aggregate_array(self, property: Any) -> List:
        """List a property."""
        return List(self._known(property))

    def aggregate_histogram(self, property: Any) -> Dictionary:
        """Count how often each value of a property is there."""
        values = self._known(property)
        return Dictionary({str(value): values.count(value) for value in values})

    def aggregate_count_distinct(self, property: Any) -> Number:
        """Count the values of a property."""
        return Number(len(set(self._known(property))))

    def reduceColumns(self, reducer: Reducer, selectors: Any) -> Dictionary:
        """Reduce properties, in the order of the inputs of the reducer."""
        rows = [[i.properties.get(name) for name in plain(selectors)] for i in self.images]
        return Dictionary(reducer.outputs_of([row for row in rows if None not in row]))

    # -- one image of many --------------------------------------------------------------------

    def _stacks(self) -> dict[str, list[Band]]:
        names = dict.fromkeys(name for image in self.images for name in image.bands)
        lacking = constant(None)
        return {n: [image.bands.get(n, lacking) for image in self.images] for n in names}

    def qualityMosaic(self, qualityBand: Any, **_: Any) -> Image:
        """Take each band from the image with the highest quality in which it is valid.

        Of equally good images from the last one.
        """
        scores = [image.bands[plain(qualityBand)] for image in self.images]
        count = len(scores)

        def best(*given: Any) -> Any:
            won = None
            for quality, value in zip(given[:count], given[count:], strict=True):
                if quality is not None and value is not None:
                    if won is None or quality >= won[0]:
                        won = (quality, value)
            return None if won is None else won[1]

        made = {}
        for name, stack in self._stacks().items():
            dtype, nodata = alike(stack)
            if scores[0].maskable and not stack[0].maskable:
                dtype = None  # not promised: it has to get a value for "masked"
            made[name] = pixelwise(best, [*scores, *stack], dtype, nodata, masked_too=True)
        return Image(made)

    def mosaic(self) -> Image:
        """Take each band from the last image in which it is valid."""
        return self._reduced(lambda values: values[-1] if values else None, "same")

    def _reduced(self, function: Callable[[list[Any]], Any], dtype: Any) -> Image:
        def reduce(*given: Any) -> Any:
            return function([value for value in given if value is not None])

        made = {}
        for name, stack in self._stacks().items():
            kind = alike(stack) if dtype == "same" else (dtype, None)
            made[name] = pixelwise(reduce, stack, *kind, masked_too=True)
        return Image(made)

    def reduce(self, reducer: Reducer, parallelScale: Any = 1) -> Image:
        """Reduce each band over the images, as ``band_output``.

        A reducer of several inputs takes as many bands and its outputs are the bands.
        """
        stacks = self._stacks()
        groups = [[name] for name in stacks] if reducer.inputs == 1 else [list(stacks)]
        made = {}
        for names in groups:
            images = [[stacks[name][i] for name in names] for i in range(len(self.images))]
            prefix = f"{names[0]}_" if reducer.inputs == 1 else ""
            for place, output in enumerate(reducer.outputs):
                own = [row[reducer.sources[place]] for row in images]
                kept = kind_of(reducer.dtypes[place], own)
                if reducer.inputs > 1 and not own[0].maskable:
                    kept = None, None  # not promised: it is masked where another input is
                made[prefix + output] = pixelwise(
                    taking(reducer, place),
                    [b for row in images for b in row],
                    *kept,
                    masked_too=True,
                )
        return Image(made)

    def toBands(self) -> Image:
        """Put the bands of all images into one, as ``index_band``."""
        made = {}
        for image in self.images:
            for name, band in image.bands.items():
                made[f"{image.properties['system:index']}_{name}"] = band
        return Image(made)


def linked(image: Image, others: list[Image], bands: Any, properties: Any, key: str) -> Image:
    """Add bands and properties of the image that has the same value of a property.

    Without a match the bands are masked, the properties None.
    """
    bands, properties = (
        [one] if isinstance(plain(one), str) else plain(one) or [] for one in (bands, properties)
    )
    found = [o for o in others if o.properties.get(key) == image.properties.get(key)]
    if bands:
        source = (found or others)[0].select(bands)
        image = image.addBands(source if found else source.updateMask(0), None, True)
    known = found[0].properties if found else {}
    return image.set({name: known.get(name) for name in properties}) if properties else image


def kind_of(dtype: Any, stack: list[Band]) -> tuple[Any, Any]:
    """Give dtype and nodata of what a reducer gives."""
    return alike(stack) if isinstance(dtype, str) else (dtype, None)


def taking(reducer: Reducer, place: int) -> Callable[..., Any]:
    """Make a function of the values of many bands, in turn the inputs of the reducer.

    Rows of which one input is masked do not count.
    """

    def reduce(*given: Any) -> Any:
        size = reducer.inputs
        rows = [list(given[i : i + size]) for i in range(0, len(given), size)]
        return reducer.function([row for row in rows if None not in row])[place]

    return reduce


def _simple(name: str) -> Any:
    def method(self: ImageCollection) -> Image:
        reducer = getattr(Reducer, name)()
        return self._reduced(
            lambda values: reducer.function([[v] for v in values])[0], reducer.dtypes[0]
        )

    return method


for _name in ("max", "min", "sum", "count", "mean", "median", "mode", "product"):
    setattr(ImageCollection, _name, _simple(_name))


def _aggregate(name: str, output: str) -> Any:
    def method(self: ImageCollection, property: Any) -> Any:
        rows = [[value] for value in self._known(property)]
        return wrapped(getattr(Reducer, name)().function(rows)[0])

    return method


for _name, _reducer in {
    "aggregate_min": "min",
    "aggregate_max": "max",
    "aggregate_sum": "sum",
    "aggregate_mean": "mean",
    "aggregate_first": "first",
    "aggregate_count": "count",
    "aggregate_product": "product",
    "aggregate_sample_sd": "sampleStdDev",
    "aggregate_sample_var": "sampleVariance",
    "aggregate_total_sd": "stdDev",
    "aggregate_total_var": "variance",
}.items():
    setattr(ImageCollection, _name, _aggregate(_reducer, _name))
