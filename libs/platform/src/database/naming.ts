/** Tables and columns are snake_case in SQL and camelCase in TypeScript. */
import { DefaultNamingStrategy, type NamingStrategyInterface } from 'typeorm';

export function toSnakeCase(name: string): string {
  return name
    .replace(/([a-z0-9])([A-Z])/g, '$1_$2')
    .replace(/([A-Z]+)([A-Z][a-z])/g, '$1_$2')
    .toLowerCase();
}

/** A name given in the entity wins; otherwise the class (without `Entity`) or property name in snake_case. */
export class SnakeCaseNaming extends DefaultNamingStrategy implements NamingStrategyInterface {
  override tableName(className: string, givenName: string | undefined): string {
    return givenName ?? toSnakeCase(className.replace(/Entity$/, ''));
  }

  override columnName(property: string, givenName: string | undefined, embeddedPrefixes: string[]): string {
    return [...embeddedPrefixes.map(toSnakeCase), givenName ?? toSnakeCase(property)].join('_');
  }
}
