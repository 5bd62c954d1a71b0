"""The application's own configuration: app.cfg."""
