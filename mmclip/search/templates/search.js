"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const language = document.getElementById("language");
const sentence = document.getElementById("sentence");

function option(value, text) {
  const node = document.createElement("option");
  node.value = value;
  node.textContent = text;
  return node;
}

function listSentences() {
  const chosen = sentence.value || "0";
  const asked = data.queries.map((query, place) => [place, query.texts[language.value]]).filter(([, text]) => text);
  sentence.replaceChildren(...asked.map(([place, text]) => option(place, text)));
  const { iso, direction } = data.languages.find(({ code }) => code === language.value);
  sentence.lang = iso;
  sentence.dir = direction;
  if (asked.some(([place]) => String(place) === chosen)) sentence.value = chosen;
}

function hit([place, cosine], wanted) {
  const { source, label } = data.images[place];
  const name = label === null ? "several findings or none" : data.classes[label];
  const item = document.createElement("li");
  const picture = document.createElement("img");
  picture.src = source;
  picture.alt = `Radiograph: ${name}`;
  const words = document.createElement("div");
  const shown = document.createElement("span");
  shown.className = label === wanted ? "right" : label === null ? "" : "wrong";
  shown.textContent = (label === wanted ? "✓ " : "") + name;
  const score = document.createElement("small");
  score.textContent = `cosine ${cosine.toFixed(2)}`;
  words.append(shown, score);
  item.append(picture, words);
  return item;
}

function answer() {
  const query = data.queries[Number(sentence.value)];
  const hits = query.hits[language.value];
  const { iso, direction } = data.languages.find(({ code }) => code === language.value);
  const heading = document.getElementById("query");
  heading.textContent = query.texts[language.value];
  heading.lang = iso;
  heading.dir = direction;
  document.getElementById("gloss").textContent = iso === "en" ? "" : query.texts.eng_Latn || "";
  const right = hits.filter(([place]) => data.images[place].label === query.label).length;
  document.getElementById("score").textContent =
    `${right} of the nearest ${hits.length} show ${data.classes[query.label].toLowerCase()} and no other class.`;
  document.getElementById("hits").replaceChildren(...hits.map((one) => hit(one, query.label)));
}

language.append(...data.languages.map(({ code, name }) => option(code, name)));
language.addEventListener("change", () => { listSentences(); answer(); });
sentence.addEventListener("change", answer);
document.getElementById("ask").addEventListener("submit", (event) => event.preventDefault());
listSentences();
answer();
