"""Solvers: iterations with and without a known end, factorizations, integrators."""

import jax
import jax.numpy as jnp
from jax import lax
from jax.experimental.ode import odeint

from battery.program import Compiled, Program, array, product

SIZE, STEPS = 8, 5
_MATRIX, _VECTOR = array(SIZE, SIZE), array(SIZE)
_ONCE = product(SIZE, SIZE)
_INVERSES = "each of the two substitutions is a product with the inverse of the factor"


def conjugate_gradients_until_converged() -> Program:
    """At most so many iterations: the residual may end them earlier. One product before the loop."""

    def solve(a, b):
        return jax.scipy.sparse.linalg.cg(lambda x: a @ x, b, maxiter=STEPS)[0]

    vectors = product(SIZE)  # inner products of vectors
    low, one = _ONCE + 2 * vectors, _ONCE + 2 * vectors
    return Program(solve, (_MATRIX, _VECTOR), (low, low + STEPS * one), bound="upper")


def conjugate_gradients_without_limit() -> Program:
    def solve(a, b):
        def step(state):
            x, r, p, rr = state
            q = a @ p
            alpha = rr / jnp.vdot(p, q)
            r = r - alpha * q
            new = jnp.vdot(r, r)
            return x + alpha * p, r, r + new / rr * p, new

        with jax.named_scope("solve"):
            return lax.while_loop(lambda s: s[3] > 1e-6, step, (jnp.zeros_like(b), b, b, jnp.vdot(b, b)))[0]

    start, one = product(SIZE), _ONCE + 2 * product(SIZE)
    trips = {"solve": 7}
    return Program(solve, (_MATRIX, _VECTOR), (start, None), bound="lower", trips=trips, trips_flops=start + 7 * one)


def newton_with_linear_solves() -> Program:
    """Factorization and substitutions are routines of a library, by formula; the products are exact."""

    def solve(a, x):
        def residual(x):
            return jnp.tanh(a @ x) - 0.1

        return lax.fori_loop(0, STEPS, lambda _, x: x - jnp.linalg.solve(jax.jacfwd(residual)(x), residual(x)), x)

    directions = product(SIZE, SIZE, SIZE)
    once = "the value is computed once for the Jacobian and the step"
    hoisted = f"{once}, and the product with every direction, the same in all iterations, before the loop"
    compiled = {
        "cpu": Compiled(STEPS * _ONCE + directions, hoisted),
        "cuda": Compiled(STEPS * (_ONCE + directions), once),
        "tpu": Compiled(STEPS * (_ONCE + directions), f"{once}; of the substitutions, no matrix products are left"),
    }
    return Program(solve, (_MATRIX, _VECTOR), STEPS * (2 * _ONCE + directions), bound="range", compiled=compiled)


def adaptive_integrator() -> Program:
    """Dormand and Prince with its own step size: a loop of unknown count in a loop over times. Before them two rates, at the
    start and for the size of the first step.
    """

    def solve(w, x, times):
        return odeint(lambda x, t: jnp.tanh(w @ x), x, times)

    return Program(solve, (_MATRIX, _VECTOR, array(3)), (2 * _ONCE, None), bound="lower")


def runge_kutta() -> Program:
    def solve(w, x):
        def rate(x):
            return jnp.tanh(x @ w)

        def step(x, _):
            k1 = rate(x)
            k2 = rate(x + 0.05 * k1)
            k3 = rate(x + 0.05 * k2)
            k4 = rate(x + 0.1 * k3)
            return x + 0.1 / 6 * (k1 + 2 * k2 + 2 * k3 + k4), x

        return lax.scan(step, x, None, length=STEPS)

    return Program(solve, (_MATRIX, array(4, SIZE)), STEPS * 4 * product(4, SIZE, SIZE))


def gaussian_process() -> Program:
    """Cholesky and substitutions by formula, the kernel's and the prediction's products exact."""

    def predict(x, y, new):
        gram = x @ x.T + jnp.eye(SIZE)
        factor = jax.scipy.linalg.cho_factor(gram)
        return (new @ x.T) @ jax.scipy.linalg.cho_solve(factor, y)

    flops = product(SIZE, 3, SIZE) + product(4, 3, SIZE) + product(4, SIZE, 2)
    compiled = {"tpu": Compiled(flops + 2 * product(SIZE, SIZE, 2), _INVERSES)}
    return Program(predict, (array(SIZE, 3), array(SIZE, 2), array(4, 3)), flops, bound="range", compiled=compiled)


def ridge_regression() -> Program:
    def solve(x, y):
        return jax.scipy.linalg.solve(x.T @ x + 0.1 * jnp.eye(SIZE), x.T @ y, assume_a="pos")

    flops = product(SIZE, 20, SIZE) + product(SIZE, 20, 3)
    compiled = {"tpu": Compiled(flops + 2 * product(SIZE, SIZE, 3), _INVERSES)}
    return Program(solve, (array(20, SIZE), array(20, 3)), flops, bound="range", compiled=compiled)


def power_iteration() -> Program:
    def largest(a, x):
        def step(_, x):
            y = a @ x
            return y / jnp.linalg.norm(y)

        x = lax.fori_loop(0, STEPS, step, x)
        return x @ (a @ x)

    return Program(largest, (_MATRIX, _VECTOR), STEPS * _ONCE + _ONCE + product(SIZE))


def sinkhorn() -> Program:
    def transport(cost):
        kernel = jnp.exp(-cost)

        def step(_, uv):
            u = 1.0 / (kernel @ uv[1])
            return u, 1.0 / (kernel.T @ u)

        u, v = lax.fori_loop(0, 10, step, (jnp.ones(SIZE), jnp.ones(SIZE)))
        return jnp.sum(u[:, None] * kernel * v[None] * cost)

    return Program(transport, (_MATRIX,), 10 * 2 * _ONCE)


def fixed_point_with_a_limit() -> Program:
    def solve(w, x):
        def going(state):
            count, x, old = state
            return (count < 20) & (jnp.max(jnp.abs(x - old)) > 1e-3)

        return lax.while_loop(going, lambda s: (s[0] + 1, jnp.tanh(s[1] @ w), s[1]), (0, x, x + 1))[1]

    one = product(4, SIZE, SIZE)
    return Program(solve, (_MATRIX, array(4, SIZE)), (0, 20 * one), bound="upper", trips={"while": 6}, trips_flops=6 * one)


def implicit_gradient_of_a_linear_solve() -> Program:
    """The solver is an iteration of fixed length; its transpose solves once more, and the matrix has an outer product."""

    def solve(a, b):
        def iterate(matvec, b):
            return lax.fori_loop(0, STEPS, lambda _, x: x + 0.1 * (b - matvec(x)), jnp.zeros_like(b))

        return lax.custom_linear_solve(lambda x: a @ x, b, iterate, iterate, symmetric=False)

    gradient = jax.grad(lambda a, b: jnp.sum(solve(a, b) ** 2), argnums=(0, 1))
    return Program(gradient, (_MATRIX, _VECTOR), 2 * STEPS * _ONCE + _ONCE)
