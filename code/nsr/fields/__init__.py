"""What is learnt.  Importing this package makes every encoding known by its name."""

import nsr.fields.filter_bank
import nsr.fields.fourier_features
import nsr.fields.hash_grid
import nsr.fields.positional
import nsr.fields.spherical_harmonics
import nsr.fields.style_modulation
import nsr.fields.tcnn_encodings  # noqa: F401
