"""Where inputs are, each kind of place behind one protocol: disks, buckets, web servers, and any other scheme."""
