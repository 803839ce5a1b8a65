"""What to use in place of the names of geemap that are not there."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

FEATURES = "Map.add_layer(features, {'color': 'red'}, name), which takes GeoJSON, paths of it and \
GeoDataFrames"
WRITING = "ee.batch.Export.image.toDrive(image, description, region=..., scale=...), or \
geemap.ee_export_image(image, 'image.tif')"
TABLES = "a GeoDataFrame, which writes files: to_file(), to_csv()"
ZONES = "image.reduceRegions(...), or qmosaic.contributions(mosaic, zones=...)"
ONE_BY_ONE = "qmosaic.quicklook of single images"

INSTEAD = {
    "Chart": "matplotlib, on .dataset",
    "chart": "matplotlib, on .dataset",
    "cartoee": "qmosaic.quicklook(image, 'image.png')",
    "colormaps": "the names of colours, or matplotlib.colormaps",
    "foliumap": "import qmosaic.display as geemap",
    "datasets": "ee.register, ee.load_catalog",
    "ee_search": "the reference of qmosaic.ee: dir(ee), help(ee.Image)",
    "ee_export_image_collection": "a loop over geemap.ee_export_image(image, path)",
    "ee_export_image_to_drive": WRITING,
    "ee_export_image_to_asset": WRITING,
    "ee_export_image_to_cloud_storage": WRITING,
    "ee_export_image_collection_to_drive": WRITING,
    "download_ee_image_collection": "a loop over geemap.ee_export_image(image, path)",
    "download_ee_video": ONE_BY_ONE,
    "get_image_thumbnail": "qmosaic.quicklook(image, 'image.png')",
    "create_timelapse": ONE_BY_ONE,
    "landsat_timelapse": ONE_BY_ONE,
    "sentinel2_timelapse": ONE_BY_ONE,
    "ee_to_gdf": "features.geodataframe",
    "ee_to_geopandas": "features.geodataframe",
    "ee_to_pandas": "features.geodataframe",
    "ee_to_df": "features.geodataframe",
    "ee_to_xarray": "image.dataset, which is an xarray.Dataset",
    "ee_to_geotiff": "geemap.ee_export_image(image, 'image.tif')",
    "ee_to_shp": TABLES,
    "ee_to_csv": TABLES,
    "ee_to_geojson": TABLES,
    "ee_export_vector": TABLES,
    "ee_export_geojson": TABLES,
    "geojson_to_ee": "ee.FeatureCollection('file.geojson')",
    "shp_to_ee": "ee.FeatureCollection(geopandas.read_file('file.shp'))",
    "vector_to_ee": "ee.FeatureCollection(geopandas.read_file(path))",
    "gdf_to_ee": "ee.FeatureCollection(gdf)",
    "geopandas_to_ee": "ee.FeatureCollection(gdf)",
    "numpy_to_ee": "ee.Image(xarray.Dataset(...))",
    "xarray_to_ee": "ee.Image(dataset)",
    "zonal_statistics": ZONES,
    "zonal_stats": ZONES,
    "zonal_statistics_by_group": ZONES,
    "extract_values_to_points": ZONES,
    "image_stats": "image.reduceRegion(ee.Reducer.minMax(), region)",
    "image_props": "image.dataset.coords",
    "js_snippet_to_py": "Python: a script in JavaScript is turned into Python by hand",
    "add_text_to_gif": ONE_BY_ONE,
    "linked_maps": "one Map with several layers, which can be switched",
    "ts_inspector": "one Map with several layers, which can be switched",
    "basemaps": "the names that xyzservices has",
}
"""Of the module."""

INSTEAD_OF_MAPS = {
    "add_gdf": FEATURES,
    "add_geojson": FEATURES,
    "add_shp": "Map.add_layer(geopandas.read_file(path), {'color': 'red'}, name)",
    "add_vector": "Map.add_layer(geopandas.read_file(path), {'color': 'red'}, name)",
    "add_kml": "Map.add_layer(geopandas.read_file(path), {'color': 'red'}, name)",
    "add_styled_vector": FEATURES,
    "add_points_from_xy": "Map.add_layer(geopandas.GeoDataFrame(...), {'color': 'red'}, name)",
    "add_marker": "Map.add_layer(ee.Geometry.Point(lon, lat), {'color': 'red'}, name)",
    "add_raster": "Map.add_layer(qmosaic.open_collection(path).isel(time=0), vis_params, name)",
    "add_cog_layer": "Map.add_layer(qmosaic.open_collection(path).isel(time=0), vis_params, name)",
    "add_tile_layer": "Map.add_basemap('https://.../{z}/{x}/{y}.png')",
    "add_ee_layer": "Map.add_layer(image, vis_params, name)",
    "addLayers": "Map.addLayer for each",
    "add_minimap": "Map.set_center(lon, lat, zoom): there is no second map",
    "add_wms_layer": "Map.add_basemap('https://.../{z}/{x}/{y}.png')",
    "add_colormap": "Map.add_colorbar(vis_params, label=...)",
    "add_text": "the names of layers, or the title of Map.add_legend",
    "add_time_slider": "one layer for each image, which can be switched",
    "split_map": "two layers, which can be switched",
    "linkMaps": "two layers, which can be switched",
    "draw_features": "ee.Geometry.Polygon(...): geometries cannot be drawn on the map",
    "user_roi": "ee.Geometry.Polygon(...): geometries cannot be drawn on the map",
    "user_rois": "ee.Geometry.Polygon(...): geometries cannot be drawn on the map",
    "drawingTools": "ee.Geometry.Polygon(...): geometries cannot be drawn on the map",
    "get_center": "Map.getCenter()",
    "get_zoom": "Map.getZoom()",
    "get_bounds": "Map.getBounds()",
    "to_image": "qmosaic.quicklook(image, 'image.png')",
    "publish": "Map.save('map.html')",
    "to_streamlit": "streamlit.components.v1.html(Map.to_html())",
    "onClick": "a click on the map, which says the values there",
    "add_inspector": "a click on the map, which says the values there",
    "remove_layer": "Map.add_layer(..., shown=False)",
    "clear": "a new geemap.Map()",
}
"""Of maps."""


def not_there(name: str, known: Iterable[str]) -> AttributeError:
    """Make the error for a name of the module."""
    return _error("qmosaic.display", name, INSTEAD, known)


def not_of_maps(name: str, known: Iterable[str]) -> AttributeError:
    """Make the error for a name of maps."""
    return _error("Map", name, INSTEAD_OF_MAPS, known)


def _error(owner: str, name: str, instead: dict[str, str], known: Iterable[str]) -> AttributeError:
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.75)
    if name in instead:
        hint = f" Use {instead[name]}."
    elif close:
        hint = f" Did you mean {close[0]}?"
    else:
        hint = f" There are {', '.join(sorted(one for one in known if not one.startswith('_')))}."
    return AttributeError(f"{owner} has no {name!r}.{hint}", name=name)
