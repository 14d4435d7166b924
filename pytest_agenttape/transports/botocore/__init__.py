"""botocore, below boto3: requests at its HTTP session, and credentials that a replay needs not."""
