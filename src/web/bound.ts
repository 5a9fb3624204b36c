/**
 * The exact upper bound of a share of which `k` in `n` were seen (Clopper & Pearson 1934, one-sided): the p at which k
 * or fewer in n have the chance `risk`. With k = 0 it is 1 - risk^(1/n), the "rule of three".
 */
export function upperBound(k: number, n: number, risk = 0.05): number {
  if (n <= 0 || k >= n) return 1;
  if (k <= 0) return 1 - risk ** (1 / n);
  let [low, high] = [k / n, 1];
  for (let step = 0; step < 60; step++) {
    const middle = (low + high) / 2;
    if (atMost(k, n, middle) > risk) low = middle;
    else high = middle;
  }
  return high;
}

/** P(X <= k) of a binomial: terms from the k-th down, each from the one before; no term is lost to underflow. */
function atMost(k: number, n: number, p: number): number {
  const odds = (1 - p) / p;
  let term = 1;
  let sum = 1;
  for (let i = k; i > 0; i--) {
    term *= (i / (n - i + 1)) * odds;
    sum += term;
    if (term < 1e-17 * sum) break;
  }
  return sum * Math.exp(logTerm(k, n, p));
}

function logTerm(k: number, n: number, p: number): number {
  return logFactorial(n) - logFactorial(k) - logFactorial(n - k) + k * Math.log(p) + (n - k) * Math.log1p(-p);
}

/** ln n!: exact sums for small n, Stirling's series to 1/n^5 above (error < 1e-12). */
function logFactorial(n: number): number {
  if (n < 32) {
    let sum = 0;
    for (let i = 2; i <= n; i++) sum += Math.log(i);
    return sum;
  }
  const inverse = 1 / n;
  const series = inverse * (1 / 12 - inverse * inverse * (1 / 360 - (inverse * inverse) / 1260));
  return n * Math.log(n) - n + 0.5 * Math.log(2 * Math.PI * n) + series;
}
