"""From sample numbers to finished rows: segments of transforms, stand-ins for bad samples."""
