"""Play and view: models beside the truth under the same hand, in a page on this machine alone."""
