"""What each kind of data says of itself by its headers: one file for each."""
