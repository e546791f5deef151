"""Pictures from labelled results; nothing is fitted or trained here.

Every function returns a `matplotlib.figure.Figure` that belongs to no window and no global state:
`figure.savefig("name.png")` works without a display. The look is that of svmconv.mplstyle.
"""

from svmconv.plots.curves import convergence as convergence
from svmconv.plots.planes import Panel as Panel
from svmconv.plots.planes import grid as grid
from svmconv.plots.planes import plane as plane
from svmconv.plots.planes import planes as planes
from svmconv.plots.training import training as training
