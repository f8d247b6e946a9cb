"""Several steps as one: workflows, their templates, and the state that scripts keep."""
