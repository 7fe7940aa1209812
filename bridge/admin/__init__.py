"""What IT admins use: the doctor and the app package."""
