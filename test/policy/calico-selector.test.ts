import { expect } from 'chai';
import fc from 'fast-check';
import { parseCalicoSelector, SelectorError } from '@tortie/policy/selector/calico-selector';
import { matchesSelector, selectorText } from '@tortie/policy/selector/selector';

const labels = new Map([
  ['role', 'web'],
  ['tier', ''],
  ['k8s-app.io/name', 'shop-api'],
  ['constructor', 'x'],
]);

describe('policy/selector/calico-selector', () => {
  const cases: readonly (readonly [string, boolean])[] = [
    ['', true],
    ['  ', true],
    ['all()', true],
    ['!all()', false],
    ['global()', true],
    ['role == "web"', true],
    ["role == 'web'", true],
    ['role=="db"', false],
    ['role != "db"', true],
    ['missing != "x"', true],
    ['missing == ""', false],
    ['tier == ""', true],
    ['has(tier)', true],
    ['!has(tier)', false],
    ['has(missing)', false],
    ['!!has(tier)', true],
    ['role in {"web", "db"}', true],
    ["role in {'db'}", false],
    ['role in {}', false],
    ['role not in {}', true],
    ['role not in {"web"}', false],
    ['missing not in {"web"}', true],
    ['k8s-app.io/name contains "op-a"', true],
    ['k8s-app.io/name starts with "shop"', true],
    ['k8s-app.io/name ends with "shop"', false],
    ['role == "db" && has(tier) || has(role)', true],
    ['role == "db" && (has(tier) || has(role))', false],
    ['!(role == "web" && has(missing))', true],
    ['constructor == "x"', true],
    ['has(toString)', false],
    ['  role  ==  "web"  &&  has( tier )  ', true],
    ['in == "x"', false],
  ];
  for (const [text, want] of cases)
    it(`${text === '' ? '(empty)' : text} -> ${want}`, () =>
      expect(matchesSelector(parseCalicoSelector(text), labels)).to.equal(want));

  const wrong: readonly (readonly [string, string])[] = [
    ['role', 'at character 5: expected ==, !=, in, not in'],
    ['role == web', 'at character 9: expected a value in quotes'],
    ['role == "web', 'at character 9'],
    ['has()', 'expected a label name'],
    ['(role == "a"', 'expected ")"'],
    ['role == "a" role == "b"', 'expected "&&", "||" or the end'],
    ['role in {"a" "b"}', 'expected "}"'],
    ['role in {"a",}', 'expected a value in quotes'],
    ['none()', 'expected has(), all() or global()'],
    ['role & "x"', 'at character 6'],
    ['&& has(a)', 'expected a label name'],
    ['role not like "x"', 'expected "in"'],
    ['('.repeat(100), 'at most 64 levels'],
  ];
  for (const [text, sentence] of wrong)
    it(`refuses ${text.slice(0, 30)}`, () => expect(() => parseCalicoSelector(text)).to.throw(SelectorError, sentence));

  it('never throws anything else', () =>
    fc.assert(
      fc.property(fc.string({ maxLength: 40 }), fc.stringMatching(/^[a-z =!&|(){}"',]{0,40}$/), (a, b) => {
        for (const text of [a, b])
          try {
            parseCalicoSelector(text);
          } catch (error) {
            expect(error).to.be.instanceOf(SelectorError);
          }
      }),
    ));

  it('means the same after a trip through its canonical text', () => {
    for (const [text, want] of cases) {
      const canonical = selectorText(parseCalicoSelector(text));
      if (!canonical.includes('none()'))
        expect(matchesSelector(parseCalicoSelector(canonical), labels), canonical).to.equal(want);
    }
  });
});
