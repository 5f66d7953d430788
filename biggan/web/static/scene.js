// What is on the screen: the state, and the pictures and requests that follow from it.

const MOST_FRAMES = 25;
const NEIGHBOURS = 12;
const SEEDS = 2 ** 31;

export const $ = (id) => document.getElementById(id);
export const random = () => Math.floor(Math.random() * SEEDS);

export const state = {
  models: [],                       // as /api/models describes them, the one on show first
  picker: null,                     // of classes
  view: "pictures",                 // or "around" or "path"
  count: 24,                        // pictures in the grid
  centre: null,                     // the picture explored
  steps: random(),                  // seed of its first neighbour
  trail: [],                        // where Back leads
  ends: [null, null],               // of the path: { picture, url }
  length: MOST_FRAMES,              // frames of the path
  frames: [],                       // their images, a list of one a model each
  at: 0,                            // the frame that is shown
};

export function setModels(described) {
  state.models = described.map((model, index) => (
    { ...model, index, labels: new Map(model.class_names.map((name, label) => [name, label])) }));
  const most = Math.min(...state.models.map((model) => model.most_pictures));
  state.length = Math.min(MOST_FRAMES, most);
  return most;
}

export const law = () => {
  const value = state.models[0].values[$("truncation").value];
  return value === undefined ? { kind: "normal", value: 1 } : { kind: state.models[0].law, value };
};

export const active = () => ($("compare").checked ? state.models : state.models.slice(0, 1));

export function gridPictures() {
  const seed = Math.max(0, Math.trunc($("seed").value) || 0);
  if (state.view === "pictures") {
    const some = Array.from({ length: state.count }, (_, k) => k);
    return some.map((k) => ({ seed: seed + k, classes: state.picker.of(k, state.count), steps: [] }));
  }
  const size = Number($("size").value);
  const some = Array.from({ length: NEIGHBOURS }, (_, k) => k);
  return some.map((k) => ({ ...state.centre, steps: [...state.centre.steps, { seed: state.steps + k, size }] }));
}

export const pathBody = (model) => {
  const [start, end] = state.ends.map((end) => translated(end.picture, model));
  return { model: model.index, law: law(), start, end, frames: state.length, moving: moving() };
};

const moving = () => document.querySelector("input[name=moving]:checked").value;

// A picture's classes by the labels of another model that knows the same names, or null.
export function translated(picture, model) {
  if (model.index === 0) return picture;
  const classes = picture.classes.map(({ label, weight }) => ({ label: model.labels.get(state.models[0].class_names[label]), weight }));
  return classes.some(({ label }) => label === undefined) ? null : { ...picture, classes };
}

export const className = (picture) => picture.classes.map(({ label }) => state.models[0].class_names[label]).join(" + ");

export const describe = (picture) => {
  const steps = picture.steps.length;
  return `${className(picture)}, seed ${picture.seed}` + (steps ? `, ${steps} step${steps > 1 ? "s" : ""} away` : "");
};

// The pictures that are saved and copied: in the view around one, that one first.
export const wholePictures = () => (state.view === "around" ? [state.centre, ...gridPictures()] : gridPictures());

export const drawBody = (model, pictures) => {
  const known = pictures.map((picture) => translated(picture, model)).filter(Boolean);
  return { model: model.index, law: law(), pictures: known };
};
