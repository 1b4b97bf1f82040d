// Reads measurements from /data, prints a summary, and leaves a chart in the directory it stands in.
import { readFileSync, writeFileSync } from 'node:fs';
import { context, DATA } from 'slipway';

const { title = 'Temperatures' } = context() ?? {};
const rows = readFileSync(`${DATA}/temperatures.csv`, 'utf8')
  .trim()
  .split('\n')
  .slice(1)
  .map((line) => line.split(','))
  .map(([month, celsius]) => ({ month, celsius: Number(celsius) }));

const mean = rows.reduce((sum, { celsius }) => sum + celsius, 0) / rows.length;
console.log(`${title}: ${rows.length} months, ${mean.toFixed(1)} °C on average`);
for (const { month, celsius } of rows) {
  console.log(`${month}  ${celsius.toFixed(1).padStart(5)}  ${'▪'.repeat(Math.max(0, Math.round(celsius)))}`);
}

const bars = rows.map(({ month, celsius }, i) => {
  const height = Math.max(1, celsius * 6);
  const label = `<text x="${i * 40 + 12}" y="195" font-size="11">${month}</text>`;
  return `<rect x="${i * 40 + 10}" y="${180 - height}" width="28" height="${height}" fill="#3b6ea5"/>${label}`;
});
const size = `width="${rows.length * 40 + 20}" height="200"`;
writeFileSync('chart.svg', `<svg xmlns="http://www.w3.org/2000/svg" ${size}>\n${bars.join('\n')}\n</svg>\n`);
