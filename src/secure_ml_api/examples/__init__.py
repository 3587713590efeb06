"""The example models: trained from data that scikit-learn or this package ships, and packed like any other."""
