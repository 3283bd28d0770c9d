from dougong.testing import MiddlewareConformance


class TestOTel(MiddlewareConformance):
    name = "middleware.otel"
