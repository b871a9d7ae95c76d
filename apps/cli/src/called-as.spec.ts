import { asCalled } from './called-as';

describe('asCalled', () => {
  it('names commands as they have to be typed, and leaves all else as it is', () => {
    const text = 'alto is there: `alto apps list` or `ALTO_URL=http://x alto status`, see `alto.yaml` and `alto`.';
    expect(asCalled(text, './alto')).toBe(
      'alto is there: `./alto apps list` or `ALTO_URL=http://x ./alto status`, see `alto.yaml` and `./alto`.',
    );
  });
});
