import type { Project } from '@alto/contracts';
import { gatewayOperations } from '@alto/contracts';
import { Command } from 'commander';
import { calledAs } from '../called-as';
import { readConfiguration, writeConfiguration } from '../configuration';
import { examples } from '../examples';
import type { Output } from '../output';
import type { Session } from '../session';
import { collect } from './collect';
import { age } from '../table';

export function projectCommands(session: Session, output: Output): Command {
  const command = new Command('projects').description('List, create and choose projects').addHelpText(
    'after',
    examples([
      ['alto projects list', 'list them'],
      ['alto projects create shop', 'make one'],
      ['alto projects use shop', 'work in it from now on'],
    ]),
  );

  command
    .command('list', { isDefault: true })
    .description('List the projects that the key can see')
    .addHelpText('after', examples([['alto projects list', 'list them']]))
    .action(async () => {
      const client = await session.client();
      const items = await collect(client.listAll(gatewayOperations.projects.list, {}));
      output.result({ items }, () => projectTable(output, items, session.project));
    });

  command
    .command('create <name>')
    .description('Create a project')
    .option('--display-name <text>', 'name for people')
    .addHelpText('after', examples([["alto projects create shop --display-name 'The shop'", 'make one']]))
    .action(async (name: string, options: { displayName?: string }) => {
      const client = await session.client();
      const project = await client.projects.create({ name, ...options });
      output.result(
        project,
        () => `Project ${project.name} is there. Work in it with \`${calledAs} projects use ${project.name}\`.`,
      );
    });

  command
    .command('show <name>')
    .description('Show a project')
    .addHelpText('after', examples([['alto projects show shop --json', 'its id, for a program']]))
    .action(async (name: string) => {
      const client = await session.client();
      const project = await client.projects.get({ project: name });
      output.result(project, () => projectTable(output, [project], session.project));
    });

  command
    .command('use <name>')
    .description('Work in this project from now on')
    .addHelpText('after', examples([['alto projects use shop', 'work in it from now on']]))
    .action(async (name: string) => {
      const client = await session.client();
      const project = await client.projects.get({ project: name });
      const saved = readConfiguration(session.configurationPath);
      writeConfiguration(session.configurationPath, { ...saved, project: project.name });
      output.result(project, () => `Commands now work in project ${project.name}.`);
    });
  return command;
}

function projectTable(output: Output, projects: readonly Project[], current: string): string {
  const rows = projects.map(({ id, name, displayName, createdAt }) => [
    name === current ? `${name} *` : name,
    displayName,
    age(createdAt),
    id,
  ]);
  return output.table(['PROJECT', 'NAME', 'AGE', 'ID'], rows);
}
