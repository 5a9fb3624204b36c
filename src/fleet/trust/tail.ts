/** Tail probabilities, for tests that are told in error probabilities. Abramowitz & Stegun 1964, 26.5 and 26.7. */

/** ln of the gamma function, z > 0: Lanczos' approximation (g = 7, nine terms), 15 digits. */
function lnGamma(z: number): number {
  const terms = [
    676.5203681218851, -1259.1392167224028, 771.3234287776531, -176.6150291621406, 12.507343278686905,
    -0.13857109526572012, 9.984369578019572e-6, 1.5056327351493116e-7,
  ];
  const x = z - 1;
  const sum = terms.reduce((total, term, i) => total + term / (x + i + 1), 0.9999999999998099);
  const t = x + 7.5;
  return 0.5 * Math.log(2 * Math.PI) + (x + 0.5) * Math.log(t) - t + Math.log(sum);
}

/** The continued fraction of the incomplete beta function (Lentz's method). */
function betaFraction(a: number, b: number, x: number): number {
  const tiny = 1e-300;
  const away = (value: number) => (Math.abs(value) < tiny ? tiny : value);
  let c = 1;
  let d = 1 / away(1 - ((a + b) * x) / (a + 1));
  let result = d;
  for (let m = 1; m <= 300; m++) {
    for (const step of [
      (m * (b - m) * x) / ((a + 2 * m - 1) * (a + 2 * m)),
      (-(a + m) * (a + b + m) * x) / ((a + 2 * m) * (a + 2 * m + 1)),
    ]) {
      d = 1 / away(1 + step * d);
      c = away(1 + step / c);
      result *= d * c;
    }
    if (Math.abs(d * c - 1) < 1e-14) break;
  }
  return result;
}

/** Regularised incomplete beta function I_x(a, b). */
function beta(a: number, b: number, x: number): number {
  if (x <= 0) return 0;
  if (x >= 1) return 1;
  const front = Math.exp(lnGamma(a + b) - lnGamma(a) - lnGamma(b) + a * Math.log(x) + b * Math.log1p(-x));
  return x < (a + 1) / (a + b + 2)
    ? (front * betaFraction(a, b, x)) / a
    : 1 - (front * betaFraction(b, a, 1 - x)) / b;
}

/** Beyond so many degrees of freedom Student's t is the normal distribution for every use here. */
const MANY = 1e6;

/** P(T > t) of Student's t with so many degrees of freedom (> 0; infinite: normal). */
export function upperTail(t: number, freedom: number): number {
  const nu = Math.min(freedom, MANY);
  const half = 0.5 * beta(nu / 2, 0.5, nu / (nu + t * t));
  return t >= 0 ? half : 1 - half;
}
