"""The pages: each module exports its ``ROUTES``."""
