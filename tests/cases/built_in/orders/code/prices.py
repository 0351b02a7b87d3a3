from decimal import Decimal

PRICES = {'tea': Decimal('4.50'), 'coffee': Decimal('3.10')}


def price_of(sku):
    return PRICES.get(sku, Decimal(0))
