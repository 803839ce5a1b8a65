"""Pictures of images: colours, quicklooks, an interactive map.

============== ==============================================================================
``maps``       an interactive map, with layers that can be switched
``quicklooks`` a picture of one image, or of several side by side
``mercator``   pictures onto the grid of web maps
``drawing``    titles, scale bars and credits around pictures
``colours``    visualisation parameters to red, green, blue and opacity
``thinning``   fewer pixels of a large image
============== ==============================================================================

May import ``scores``, ``engine``, ``collection`` and ``optional``.
"""

from qmosaic.display.colours import visualize
from qmosaic.display.drawing import Picture
from qmosaic.display.maps import Map
from qmosaic.display.quicklooks import quicklook

__all__ = ["Map", "Picture", "quicklook", "visualize"]
