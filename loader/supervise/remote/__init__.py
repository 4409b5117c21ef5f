"""The supervisor's side of workers on other machines: the gateway as its child, and the lives of the workers that it has."""
