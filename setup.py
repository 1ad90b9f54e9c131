"""Packaging of cardbeam; also the --setup_file that carries the worker code to a cluster."""

from setuptools import find_packages, setup

setup(
    name="cardbeam",
    version="0.1.0",
    description="Identity-card photos from object storage to typed Parquet, each call paid once",
    license="Apache-2.0",
    python_requires=">=3.10",
    packages=find_packages(include=["schemas*", "transforms*", "pipeline*", "endpoint*"]),
    package_data={"endpoint": ["data/*"], "pipeline": ["templates/*.html"]},
    install_requires=[
        "apache-beam>=2.77,<3",
        "obstore>=0.12,<1",
        "orjson>=3.10",
        "Pillow>=12.1",
        "pyarrow>=24",
        "requests>=2.32",
        "smart-open>=7.3",
        "tenacity>=9.0",
        "tqdm>=4.66",
        "urllib3>=2.6",
    ],
    extras_require={
        "aws": ["boto3>=1.40"],
        "azure": ["azure-storage-blob>=12.25"],
        "sql": ["duckdb>=1.4", "fsspec>=2025.1"],
        "endpoint": [
            "fastapi>=0.120",
            "uvicorn[standard]>=0.38",
            "python-multipart>=0.0.20",
            "loky>=3.5",
            "psutil>=7",
            "tesserocr>=2.9",
            "opencv-python-headless>=4.12",
            "rapidfuzz>=3.14",
            "pypdfium2>=5",
            "vietnamadminunits>=1.0",
        ],
        "report": ["duckdb>=1.4", "fsspec>=2025.1", "jinja2>=3.1", "matplotlib>=3.10"],
        "iceberg": ["pyiceberg[sql-sqlite,pyarrow]>=0.10"],
        "browser": ["playwright>=1.55"],
        "airflow": ["apache-airflow>=3.1"],
        "spark": ["pyspark>=4.1,<4.2"],  # Iceberg's reader for it, which the tests use, is made for one minor version
        "test": ["pytest>=9", "sqlglot>=27", "hypothesis>=6.100", "trustme>=1.2", "azure-storage-blob>=12.25"],
        "peers": [  # of bench reading: what rapidocr needs but for OpenCV; run.sh installs rapidocr itself
            "onnxruntime>=1.20",
            "colorlog>=6",
            "omegaconf>=2.3",
            "pyclipper>=1.3",
            "PyYAML>=6",
            "shapely>=2",
            "six>=1.16",
        ],
        "check": ["mypy>=1.18", "ruff>=0.14", "types-psutil", "types-requests", "types-tqdm"],
    },
)
