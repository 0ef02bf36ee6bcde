"""The pages of `/ops`: each queries its figures and renders its template; forms that act are `forms`."""
