/**
 * The chi-square distribution, as far as thresholds need it. Regularised incomplete gamma function by its series and its
 * continued fraction (Abramowitz & Stegun 6.5.29, 6.5.31; Lentz's method); good to about 1e-12.
 */

/** Lanczos' approximation, g = 7, n = 9; x > 0. */
function logGamma(x: number): number {
  const terms = [
    676.5203681218851, -1259.1392167224028, 771.3234287776531, -176.6150291621406, 12.507343278686905,
    -0.13857109526572012, 9.984369578019572e-6, 1.5056327351493116e-7,
  ];
  const t = x + 6.5;
  const sum = terms.reduce((total, term, i) => total + term / (x + i), 0.9999999999998099);
  return 0.5 * Math.log(2 * Math.PI) + (x - 0.5) * Math.log(t) - t + Math.log(sum);
}

/** P(X > x) for X chi-square with `degrees` >= 1. */
export function chiSquareTail(x: number, degrees: number): number {
  if (x <= 0) return 1;
  const a = degrees / 2;
  const half = x / 2;
  const scale = Math.exp(-half + a * Math.log(half) - logGamma(a));
  return half < a + 1 ? 1 - scale * series(a, half) : scale * fraction(a, half);
}

function series(a: number, x: number): number {
  let term = 1 / a;
  let sum = term;
  for (let n = 1; n < 10_000 && term > sum * 1e-16; n++) {
    term *= x / (a + n);
    sum += term;
  }
  return sum;
}

function fraction(a: number, x: number): number {
  let b = x + 1 - a;
  let c = 1e300;
  let d = 1 / b;
  let h = d;
  for (let i = 1; i < 10_000; i++) {
    const step = i * (a - i);
    b += 2;
    d = 1 / (step * d + b);
    c = b + step / c;
    h *= d * c;
    if (Math.abs(d * c - 1) < 1e-15) break;
  }
  return h;
}

/** The x with P(X > x) = `alpha`, 0 < alpha < 1. */
export function chiSquareQuantile(alpha: number, degrees: number): number {
  let high = degrees + 10;
  while (chiSquareTail(high, degrees) > alpha) high *= 2;
  let low = 0;
  for (let i = 0; i < 100; i++) {
    const middle = (low + high) / 2;
    if (chiSquareTail(middle, degrees) > alpha) low = middle;
    else high = middle;
  }
  return (low + high) / 2;
}
