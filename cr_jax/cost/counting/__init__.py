"""The count of a program: costs by module, pass and family."""
