"""Who works on a run: which launch, process and worker lives, and which may go on."""
