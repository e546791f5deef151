"""What is measured of a run or of a last layer, against the exact SVM."""

from svmconv.measures.audit import Audit as Audit
from svmconv.measures.audit import audit as audit
from svmconv.measures.gaps import gaps as gaps
from svmconv.measures.last_layer import last_layer_gaps as last_layer_gaps
from svmconv.measures.layer import kkt_residual as kkt_residual
