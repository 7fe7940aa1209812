"""Tools for IT admins and operators: the doctor, the app package, the admin listener's client."""
