import { z } from 'zod';
import { ConfigError, defineConfig, loadConfig } from './config';

const config = defineConfig({
  ALTO_LAMPS_MAX: z.coerce.number().int().min(1).default(3).describe('Lamps at most'),
  ALTO_LAMP_NAME: z.string().describe('Name of the lamp'),
});

it('parses what is given and fills in the rest', () => {
  const parsed = loadConfig(config, { ALTO_LAMP_NAME: 'red', ALTO_HTTP_PORT: '8081', ALTO_LAMPS_MAX: '' });
  expect(parsed).toMatchObject({
    ALTO_LAMP_NAME: 'red',
    ALTO_LAMPS_MAX: 3,
    ALTO_HTTP_PORT: 8081,
    ALTO_LOG_LEVEL: 'info',
  });
});

it('reports all problems together, each with the name of its variable', () => {
  const load = () => loadConfig(config, { ALTO_LAMPS_MAX: 'many', ALTO_HTTP_PORT: '70000', ALTO_LOG_LEVEL: 'loud' });
  expect(load).toThrow(ConfigError);
  expect(load).toThrow(/ALTO_HTTP_PORT.*[\s\S]*ALTO_LOG_LEVEL.*[\s\S]*ALTO_LAMPS_MAX.*[\s\S]*ALTO_LAMP_NAME/);
});

it('describes every setting that every service has', () => {
  for (const [name, schema] of Object.entries(defineConfig({}).shape)) {
    expect({ name, description: schema.description }).toEqual({ name, description: expect.stringMatching(/\w{3}/) });
  }
});
