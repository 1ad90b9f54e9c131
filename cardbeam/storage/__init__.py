"""Files by URI: local disks, object stores, and web servers."""
