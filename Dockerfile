# docker build -t ser . && docker run ser   trains on the demo corpus, as README.md begins.
# docker run -v "$PWD/data:/ser/data" -v "$PWD/mlruns:/ser/mlruns" ser python -m ser.train model=svm
FROM python:3.11-slim
RUN useradd --create-home ser && install --directory --owner ser /ser /ser/data /ser/mlruns
USER ser
WORKDIR /ser
ENV PATH="/home/ser/venv/bin:$PATH" PYTHONUNBUFFERED=1
RUN python -m venv /home/ser/venv
COPY --chown=ser . .
RUN pip install --no-cache-dir -c constraints.txt -e '.[app]'
CMD ["python", "-m", "ser.train", "model=svm", "data=demo"]
