"""Pictures taken apart: normals, albedo, light in 27 harmonics, and the residue that harmonics cannot say."""
