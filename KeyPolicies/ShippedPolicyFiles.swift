package enum ShippedPolicyFiles {}
