"""The runners that the launcher starts itself, and the processes that go with them."""
