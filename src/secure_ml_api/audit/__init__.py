"""Who did what, when and from where, in lines that cannot be changed unnoticed."""
