"""One profile per stack: layout, ownership, gates and conventions of the built project."""
