"""Lists of images, as files or as another program's rows."""
