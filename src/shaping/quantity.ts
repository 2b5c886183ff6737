/** Kubernetes quantities, as annotations write them. Pure. */

const FACTORS: Readonly<Record<string, number>> = {
  '': 1,
  m: 1e-3,
  k: 1e3,
  M: 1e6,
  G: 1e9,
  T: 1e12,
  P: 1e15,
  Ki: 2 ** 10,
  Mi: 2 ** 20,
  Gi: 2 ** 30,
  Ti: 2 ** 40,
  Pi: 2 ** 50,
};

/** Undefined for what is no quantity. */
export function parseQuantity(text: string): number | undefined {
  const [, digits = '', exponent = '', suffix = ''] =
    /^(\d{1,20}(?:\.\d{0,9})?)(?:[eE](\d{1,2})|([a-zA-Z]{0,2}))$/.exec(text) ?? [];
  const factor = exponent === '' ? FACTORS[suffix] : 10 ** Number(exponent);
  return digits === '' || factor === undefined ? undefined : Number(digits) * factor;
}
